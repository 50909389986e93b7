"""What is shipped to run the service: the files are parsed, and the commands in them run as they stand."""

from __future__ import annotations

import configparser
import importlib.metadata
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
import typer.main
import yaml

from support.capabilities import free_port
from support.page_home import write_home
from support.servers.listening import listening
from support.servers.running_service import VOUCH, is_up, wait_for
from vouch.features.errors import Refused, UsageError
from vouch.features.project import environment, version
from vouch.serving.api.doors import LIVE, READY
from vouch.serving.cli import app
from vouch.serving.commands.serve import SETTINGS
from vouch.serving.reach.destinations import is_public
from vouch.serving.worker import GRACE_SECONDS

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "serving" / "deployment"
PORT = 3000


def instructions() -> list[tuple[str, str]]:
    """Instructions of the container's recipe, in order, lines that are continued made whole."""
    text = re.sub(r"(?m)^#.*\n", "", (FOLDER / "Containerfile").read_text())
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


def of(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def documents() -> list[dict]:
    return list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))


def containers() -> list[tuple[dict, dict]]:
    """Every pod of the example with each of its containers."""
    pods = []
    for document in documents():
        spec = document["spec"]
        spec = spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec
        if "template" in spec:
            pods.append(spec["template"]["spec"])
    return [(pod, container) for pod in pods for container in pod["containers"]]


JOBS = ("score", "train", "clean", "report", "notify", "push", "pull")
UNITS = ("vouch.service", *(f"vouch-{job}.service" for job in JOBS))


def unit(name: str) -> dict[str, dict[str, str]]:
    """What a unit says, with what all jobs have in common."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    shared = [FOLDER / "vouch-.service.d" / "job.conf"] if re.fullmatch(r"vouch-.*\.service", name) else []
    parser.read([FOLDER / name, *shared])
    return {section: dict(parser[section]) for section in parser.sections()}


def commands() -> dict[str, list[str]]:
    """What each file runs of vouch, by where it stands."""
    found = {f"kubernetes {container['name']}": container["args"] for _, container in containers()}
    found["container"] = json.loads(of("CMD")[0])
    for name in UNITS:
        program, *found[name] = shlex.split(unit(name)["Service"]["ExecStart"])
        assert program.endswith("/bin/vouch")
    return found


@pytest.mark.parametrize("where", ["container", "kubernetes serve", *(f"kubernetes {job}" for job in JOBS), *UNITS])
def test_every_command_is_one_that_vouch_takes(where):
    name, *arguments = commands()[where]
    command = typer.main.get_command(app).commands[name]
    assert command.make_context(name, arguments).params


def test_the_recipe_takes_what_the_repository_has_and_all_that_is_installed():
    copied = [name for rest in of("COPY") for name in rest.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= set(copied)
    assert "--require-hashes" in " ".join(of("RUN"))
    assert "requirements.lock" in copied


def test_the_recipe_runs_as_nobody_special_and_stops_by_a_signal_that_drains():
    assert of("USER") == ["10001"]
    assert of("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(of("ENTRYPOINT")[0]) == ["vouch"]
    assert of("EXPOSE") == [str(PORT)]


def test_the_example_probes_what_is_open_and_waits_for_whoever_is_in_flight():
    serve = next((pod, found) for pod, found in containers() if found["name"] == "serve")
    pod, container = serve
    probed = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert probed == {LIVE[0], READY}
    assert {container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")} == {"http"}
    assert container["ports"] == [{"name": "http", "containerPort": PORT}]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] > pause + GRACE_SECONDS


def test_the_example_holds_together_and_gives_no_right_that_is_not_needed():
    by_kind = {document["kind"]: document for document in documents()}
    assert by_kind["Service"]["spec"]["selector"] == by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for pod, container in containers():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == int(of("USER")[0])
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert container["image"].rpartition(":")[2] == importlib.metadata.version("vouch")
        assert any(mount["mountPath"] == of("VOLUME")[0] for mount in container["volumeMounts"])


@pytest.mark.parametrize("name", UNITS)
def test_who_gets_into_a_unit_gets_no_further(name):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # the threshold is in tenths
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_the_units_take_all_processes_with_them_and_wait_for_whoever_is_in_flight():
    service = unit("vouch.service")["Service"]
    assert service["KillMode"] == "control-group"
    assert int(service["TimeoutStopSec"]) > GRACE_SECONDS
    assert {unit(f"vouch-{job}.timer")["Timer"]["Persistent"] for job in JOBS} == {"true"}


def test_whoever_a_job_s_failure_is_told_by_is_no_job():
    told_by = {unit(f"vouch-{job}.service")["Unit"]["OnFailure"] for job in JOBS}
    assert told_by == {"tell-failed@%N.service"}
    assert (FOLDER / "tell-failed@.service").is_file()
    assert not fnmatch("tell-failed@.service", "vouch-*"), "what jobs have in common would hold for it, too"


def test_a_refusal_is_not_tried_again_and_a_fault_is():
    jobs = [document["spec"]["jobTemplate"]["spec"] for document in documents() if document["kind"] == "CronJob"]
    assert len(jobs) == len(JOBS)
    for job in jobs:
        (rule,) = job["podFailurePolicy"]["rules"]
        assert rule["action"] == "FailJob"
        assert rule["onExitCodes"] == {"operator": "In", "values": [UsageError.exit_code, Refused.exit_code]}
        assert job["template"]["spec"]["restartPolicy"] == "Never", "no other takes such a policy"
        assert job["backoffLimit"] > 0


def labels_of(kind: str) -> dict[str, str]:
    """The label of the pods of each document of a kind, by its name."""
    found = {}
    for document in documents():
        if document["kind"] == kind:
            spec = document["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else document["spec"]
            found[document["metadata"]["name"]] = spec["template"]["metadata"]["labels"]["app"]
    return found


def policies() -> dict[str, dict]:
    return {document["metadata"]["name"]: document["spec"] for document in documents()
            if document["kind"] == "NetworkPolicy"}  # fmt: skip


def test_nobody_speaks_to_the_pods_but_who_is_allowed_to_and_they_to_the_store_alone():
    policy, reach = policies()["vouch"], policies()["vouch-reach"]
    assert policy["policyTypes"] == reach["policyTypes"] == ["Ingress", "Egress"]
    (chosen,) = policy["podSelector"]["matchExpressions"]
    labels = {*labels_of("Deployment").values(), *labels_of("CronJob").values()}
    assert {*chosen["values"], reach["podSelector"]["matchLabels"]["app"]} == labels
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [PORT]
    assert all(rule["from"] for rule in policy["ingress"])
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 5432}


def test_only_what_tells_others_reaches_the_internet_and_nothing_inside():
    reach = policies()["vouch-reach"]
    assert {job for job, label in labels_of("CronJob").items() if label == "vouch-reach"} == {
        "vouch-notify",
        "vouch-push",
        "vouch-pull",
    }
    assert "ingress" not in reach
    (outside,) = [rule for rule in reach["egress"] if "ipBlock" in str(rule)]
    assert {port["port"] for port in outside["ports"]} == {443, 587}
    (block,) = [to["ipBlock"] for to in outside["to"]]
    inside = [ipaddress.ip_network(network) for network in block["except"]]
    for address in ("10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1"):
        assert not is_public(address)
        assert any(ipaddress.ip_address(address) in network for network in inside)


def test_secrets_of_destinations_stand_in_no_example():
    named = tomllib.loads((ROOT / "serving" / "reach" / "destinations.toml").read_text())
    secrets = {named["salesforce"]["client_secret"], named["salesforce"]["client_id"], named["hubspot"]["token"]}
    for job in ("notify", "push", "pull"):
        assert unit(f"vouch-{job}.service")["Service"]["EnvironmentFile"] == "-/etc/vouch/secrets"
        (container,) = [found for _, found in containers() if found["name"] == job]
        assert container["envFrom"] == [{"secretRef": {"name": "vouch-reach"}}]
        assert not secrets & {one["name"] for one in container["env"]}


def test_the_container_s_context_is_what_its_recipe_copies():
    lines = (ROOT / ".containerignore").read_text().splitlines()
    given = [line for line in lines if line and not line.startswith("#")]
    assert given[0] == "*", "nothing else: no environment, and no company's data"
    copied = {name for rest in of("COPY") for name in rest.split()[:-1]}
    assert {line.removeprefix("!") for line in given if line.startswith("!")} == copied


@pytest.mark.parametrize("where", [where for where, words in commands().items() if words[0] == "serve"])
def test_no_example_starts_without_a_key(where, tmp_path):
    words = commands()[where]
    assert "--require-keys" in words
    settings = {**os.environ, "VOUCH_HOME": str(tmp_path)}
    for others in ([], ["--host", "127.0.0.1"]):
        done = subprocess.run([VOUCH, *words, *others], env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 4
        assert "vouch keys create" in done.stderr


def test_the_unit_is_not_tried_again_and_again_for_want_of_a_key():
    assert unit("vouch.service")["Service"]["RestartPreventExitStatus"] == "4"


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.nightly
def test_the_unit_s_command_serves_is_healthy_by_the_recipe_s_check_and_stops(tmp_path):
    if not is_free(PORT):
        pytest.skip(f"another program listens on {PORT}")
    settings = {**os.environ, "VOUCH_HOME": str(write_home(tmp_path))}
    subprocess.run([VOUCH, "keys", "create", "first"], env=settings, capture_output=True, check=True)
    check = json.loads(of("HEALTHCHECK")[0].partition(" CMD ")[2])
    assert check[0] == "python"
    check = [sys.executable, *check[1:]]
    assert subprocess.run(check, capture_output=True, check=False).returncode != 0
    process = subprocess.Popen([VOUCH, *commands()["vouch.service"]], env=settings)
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}") as client:
        wait_for(lambda: is_up(client), 60)
        assert subprocess.run(check, capture_output=True, check=False).returncode == 0
        assert {client.get(path).status_code for path in (*LIVE, READY)} == {200}
    process.send_signal(signal.SIGTERM)
    assert process.wait(int(unit("vouch.service")["Service"]["TimeoutStopSec"])) == 0


@pytest.mark.nightly
def test_bentoml_builds_a_bento_that_runs_by_itself(tmp_path):
    own = {**environment(**SETTINGS), "BENTOML_HOME": str(tmp_path / "bento"), "VOUCH_LOCAL": "1"}
    bentoml = [sys.executable, "-P", "-m", "bentoml"]
    built = subprocess.run(
        [*bentoml, "build", "--output", "tag"], cwd=ROOT, env=own, capture_output=True, text=True, check=True
    )
    tag = built.stdout.strip().removeprefix("__tag__:")
    source = tmp_path / "bento" / "bentos" / tag.replace(":", "/") / "src"
    assert not (source / "training").exists()
    mark = source / "serving" / "web" / "static" / "mark.svg"
    mark.write_text(mark.read_text() + "<!-- of the Bento -->")
    port = free_port()
    home = {**own, "VOUCH_HOME": str(write_home(tmp_path / "home"))}
    serve = [*bentoml, "serve", tag, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(serve, cwd=tmp_path, env=home)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for(lambda: is_up(client), 60)
            assert client.get("/app/static/mark.svg").text.endswith("<!-- of the Bento -->"), "it runs its own files"
            assert client.get("/app/candidates").status_code == 200
            assert listening(process.pid) == {("tcp", f"127.0.0.1:{port}")}
            assert client.post("/v1/customers/get", json={"customer_id": "c1"}).json()["customer_id"] == "c1"
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_the_version_is_known_where_nothing_was_installed(monkeypatch):
    def absent(name: str):
        raise importlib.metadata.PackageNotFoundError(name)

    installed = version()
    monkeypatch.setattr(importlib.metadata, "version", absent)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert version() == declared["project"]["version"] == installed
    assert "pyproject.toml" in declared["tool"]["bentoml"]["build"]["include"]

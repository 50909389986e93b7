"""People are found by the beginning of a name, an account or an id, however it is written, and by nothing else."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.handwritten_weeks import customer, publish
from support.servers.answering import Served
from vouch.serving.api.handlers.find import find_customers
from vouch.serving.api.schemas import CustomersFind
from vouch.serving.api.state import ServingState

NORTH = {"account_id": "A1", "account_name": "North Energy"}
PEOPLE = [
    customer(
        "C0004456", name="\u0218tefan \u021a\u0103rn\u0103", account_id="A1", account_name="North Energy", mrr=10.0
    ),
    customer("C0004457", name="\uae40\ubbfc\uc900", account_id="A1", account_name="North Energy", mrr=900.0),
    customer("K-12/b", name="Zo\u00eb O'Hara-Lind", owner="Ines", crm_url="javascript:alert(1)"),
    customer("n0", crm_url="https://crm.example/{customer_id}"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("people")
    publish(home, people=sorted(PEOPLE, key=lambda row: row["customer_id"]))
    found = ServingState(home)
    found.refresh()
    yield found
    found.stop()


def found_by(store, text: str) -> list[str]:
    answer = find_customers(store, CustomersFind(text=text))
    assert answer["total"] == len(answer["customers"])
    return [row["customer_id"] for row in answer["customers"]]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C0004456", ["C0004456"]), ("c0004456", ["C0004456"]), ("4456", ["C0004456"]),
        ("c00", ["C0004457", "C0004456"]), ("stef", ["C0004456"]), ("\u0218TEFAN tarna", ["C0004456"]),
        ("\uae40\ubbfc", ["C0004457"]), ("zoe", ["K-12/b"]), ("lind zo", ["K-12/b"]), ("hara", ["K-12/b"]),
        ("north", ["C0004457", "C0004456"]), ("energy st", ["C0004456"]),
        ("a1", ["C0004457", "C0004456"]), ("k-12", ["K-12/b"]), ("orth", []), ("%", []), (".*", []), ("'", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
def test_a_customer_is_found_by_the_beginning_of_any_word(store, text, wanted, form):
    assert found_by(store, unicodedata.normalize(form, text)) == wanted


@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_whatever_is_asked_for_is_answered(store, text):
    if "\0" not in text and text.strip().strip("\u200b\x1c\x1d\x1e\x1f\x85\u2028\u2029"):
        assert set(store.portfolio.people.find(text).tolist()) <= set(range(len(PEOPLE)))


def test_only_a_web_address_is_a_link(store):
    links = {row["customer_id"]: row["crm_url"] for text in ("zoe", "n0") for row in _rows(store, text)}
    assert links == {"K-12/b": None, "n0": "https://crm.example/n0"}


def _rows(store, text: str) -> list[dict]:
    return find_customers(store, CustomersFind(text=text))["customers"]


def test_what_was_searched_for_stands_in_no_log(tmp_path, caplog):
    served = Served(tmp_path)
    with caplog.at_level("DEBUG"):
        assert served.call("GET", "/v1/customers/find?text=planted-person", "read").status_code == 200
        assert served.call("POST", "/v1/customers/find", "read", json={"text": "planted-person"}).status_code == 200
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("vouch")]
    assert ours
    assert "planted-person" not in "".join(ours)
    served.close()

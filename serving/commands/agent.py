"""`vouch mcp`: the door for agents, over standard input or HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from vouch.serving.output import say

app = typer.Typer()


@app.command()
def mcp(
    url: Annotated[str, typer.Option(metavar="URL", help="Where `vouch serve` answers.")] = "http://127.0.0.1:3000",
    http: Annotated[bool, typer.Option("--http", help="Listen for agents, each with a key of its own.")] = False,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on, with --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65_535, help="The port, with --http.")] = 3333,
    key: Annotated[str | None, typer.Option(envvar="VOUCH_KEY", hidden=True)] = None,  # a command line is not private
) -> None:
    """Let an agent ask: the routes of the API as tools of the Model Context Protocol, behind the same keys and scopes.

    Over standard input the key is that of the variable VOUCH_KEY.

    Example: vouch mcp --url http://127.0.0.1:3000
    """
    import asyncio

    from vouch.features.errors import MissingExtra

    try:
        from vouch.serving.agent.server import AgentDoor
    except ImportError as error:
        raise MissingExtra("The door for agents needs its library: pip install 'vouch[mcp]'") from error
    door = AgentDoor(url, key)
    if not http:
        asyncio.run(door.over_standard_input())
        return
    import uvicorn

    say(f"agents are answered at http://{host}:{port}/mcp, with the keys of {url}")
    uvicorn.run(door.over_http(host), host=host, port=port, log_level="warning", access_log=False)

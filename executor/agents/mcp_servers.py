"""Hand an app's MCP servers to the agent, with the secrets that they name."""

from __future__ import annotations

from collections.abc import Mapping

from acp.schema import AcpMcpServer, EnvVariable, HttpHeader, HttpMcpServer, McpServerStdio, SseMcpServer

from executor.agents.failures import TurnFailed
from executor.agents.provider import Provider
from schema.options import AppOptions, McpServer, NamedSecret

AgentServer = HttpMcpServer | SseMcpServer | AcpMcpServer | McpServerStdio


def mcp_servers(options: AppOptions, provider: Provider) -> list[AgentServer]:
    """Return the servers of session/new. Raises TurnFailed `secret_missing` for a secret that has no value."""
    return [_server(name, server, provider) for name, server in (options.mcp_servers or {}).items()]


def _server(name: str, server: McpServer, provider: Provider) -> AgentServer:
    if server.url is not None:
        headers = _values(server.headers, name, provider)
        return HttpMcpServer(
            type="http",
            name=name,
            url=server.url,
            headers=[HttpHeader(name=key, value=headers[key]) for key in headers],
        )
    variables = _values(server.env, name, provider)
    return McpServerStdio(
        name=name,
        command=server.command or "",
        args=server.args,
        env=[EnvVariable(name=key, value=variables[key]) for key in variables],
    )


def _values(settings: Mapping[str, str | NamedSecret], server: str, provider: Provider) -> dict[str, str]:
    return {
        key: _secret(setting.secret, server, provider) if isinstance(setting, NamedSecret) else setting
        for key, setting in settings.items()
    }


def _secret(name: str, server: str, provider: Provider) -> str:
    variable = provider.app_secrets.get(name)
    value = None if variable is None else variable.read()
    if value is None:
        raise TurnFailed(
            "secret_missing",
            f"The MCP server {server!r} of the app needs the secret {name!r}. Set it in [secrets] of providers.toml.",
        )
    return value

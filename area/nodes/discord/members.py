"""Roles of members. Facts: https://docs.discord.com/developers/resources/guild (add guild member role)"""

from typing import Annotated

from pydantic import Field

from area.nodes import sdk
from area.nodes.discord.connection import done, service
from area.nodes.discord.servers import SNOWFLAKE, bot, list_roles, list_servers, server_of


class RoleForMember(sdk.Inputs):
    """Which role, for whom."""

    role: Annotated[str, sdk.Choices(list_roles)] = Field(
        title="Role",
        description="A role of the server, by its id. The bot's own role must stand above it.",
        pattern=SNOWFLAKE,
        examples=["1100000000000000080"],
    )
    user: str = Field(
        title="User",
        description="Id of a member, such as the author id of a message.",
        pattern=SNOWFLAKE,
        examples=["1100000000000000010"],
    )
    server: Annotated[str, sdk.Choices(list_servers)] = Field(
        "",
        title="Server",
        description="Only for a bot of your own: the server's id. Otherwise it is the connected one.",
        pattern=rf"^$|{SNOWFLAKE}",
        examples=["1100000000000000000"],
    )


class Given(sdk.Outputs):
    """Who has which role now."""

    user_id: str = Field(title="User id", description="The member.", examples=["1100000000000000010"])
    role_id: str = Field(title="Role id", description="The role.", examples=["1100000000000000080"])
    server_id: str = Field(title="Server id", description="Where.", examples=["1100000000000000000"])


@service.reaction("Give a role", idempotent=True)
async def add_role(ctx: sdk.Context, given: RoleForMember) -> Given:
    """Gives a role to a member of the server; one who has it keeps it."""
    server = server_of(ctx, given.server)
    done(await bot(ctx).put(f"/guilds/{server}/members/{given.user}/roles/{given.role}"))
    return Given(user_id=given.user, role_id=given.role, server_id=server)

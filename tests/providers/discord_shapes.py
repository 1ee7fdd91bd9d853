"""What Discord shows of things: two servers and who is in them, in the shapes of its specification."""

from dataclasses import dataclass, field
from typing import Any

ADA, GRACE, EVE = "200000000000000001", "200000000000000002", "200000000000000003"
NAMES = {ADA: ("ada", "Ada Lovelace"), GRACE: ("grace", "Grace Hopper"), EVE: ("eve", "Eve")}
HOME, OTHER = "300000000000000001", "300000000000000002"
GENERAL, NEWS, FORUM, LOUNGE = "400000000000000001", "400000000000000002", "400000000000000003", "400000000000000004"
ELSEWHERE = "400000000000000009"
MEMBERS, STREAMERS = "500000000000000001", "500000000000000002"
PARTY = "600000000000000001"
WEBHOOK, WEBHOOK_TOKEN = "700000000000000001", "a-token-of_letters"

GUILD_REST: dict[str, Any] = {
    "icon": None, "description": None, "home_header": None, "splash": None, "discovery_splash": None, "features": [],
    "banner": None, "application_id": None, "region": "deprecated", "afk_channel_id": None, "afk_timeout": 300,
    "system_channel_id": None, "system_channel_flags": 0, "widget_enabled": False, "widget_channel_id": None,
    "verification_level": 1, "default_message_notifications": 0, "mfa_level": 0, "explicit_content_filter": 0,
    "max_presences": None, "max_members": 500000, "max_stage_video_channel_users": 50, "max_video_channel_users": 25,
    "vanity_url_code": None, "premium_tier": 0, "premium_subscription_count": 0, "preferred_locale": "en-US",
    "rules_channel_id": None, "safety_alerts_channel_id": None, "public_updates_channel_id": None,
    "premium_progress_bar_enabled": False, "nsfw": False, "nsfw_level": 0, "stickers": [], "incidents_data": None,
}  # fmt: skip
ROLE_REST: dict[str, Any] = {
    "color": 0, "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None}, "hoist": False,
    "mentionable": False, "icon": None, "unicode_emoji": None, "flags": 0,
}  # fmt: skip


@dataclass(eq=False)
class Bot:
    """An application's bot. ``servers`` are those it was added to."""

    id: str
    name: str
    public_key: str
    servers: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Server:
    """One server. ``members`` maps users to their roles."""

    id: str
    name: str
    owner: str
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    roles: list[dict[str, Any]] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)
    emojis: list[dict[str, Any]] = field(default_factory=list)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    threads: dict[str, dict[str, Any]] = field(default_factory=dict)


def home() -> Server:
    """Ada's: Grace is a member."""
    made = Server(HOME, "Ada's server", ADA, members={ADA: set(), GRACE: {MEMBERS}})
    made.roles = [
        role(HOME, "@everyone", 0),
        role(MEMBERS, "Members", 1),
        role(STREAMERS, "Streamers", 2),
        role("500000000000000003", "AREA", 3) | {"managed": True},
    ]
    group = "400000000000000010"
    made.channels = {
        group: channel(group, HOME, 4, "Text channels", 0),
        GENERAL: channel(GENERAL, HOME, 0, "general", 0) | {"parent_id": group},
        NEWS: channel(NEWS, HOME, 5, "news", 1) | {"parent_id": group},
        FORUM: channel(FORUM, HOME, 15, "help", 2),
        LOUNGE: channel(LOUNGE, HOME, 2, "lounge", 3),
    }
    common = {"roles": [], "require_colons": True, "managed": False, "animated": False}
    made.emojis = [
        {"id": PARTY, "name": "party", "available": True, **common},
        {"id": "600000000000000002", "name": "lost", "available": False, **common},
    ]
    return made


def other() -> Server:
    """Eve's alone."""
    made = Server(OTHER, "Eve's server", EVE, members={EVE: set()})
    made.roles = [role(OTHER, "@everyone", 0)]
    made.channels = {ELSEWHERE: channel(ELSEWHERE, OTHER, 0, "secrets", 0)}
    return made


def person(id_: str) -> dict[str, Any]:
    """A user, by id."""
    login, name = NAMES.get(id_, ("stranger", None))
    return shown(id_, login, name)


def shown(id_: str, username: str, name: str | None) -> dict[str, Any]:
    """A user or bot."""
    rest = {"avatar": None, "discriminator": "0", "public_flags": 0, "flags": 0, "primary_guild": None}
    return {"id": id_, "username": username, "global_name": name, **rest}


def role(id_: str, name: str, position: int, permissions: int = 0) -> dict[str, Any]:
    return {
        "id": id_,
        "name": name,
        "position": position,
        "permissions": str(permissions),
        "managed": False,
        **ROLE_REST,
    }


def channel(id_: str, server: str, kind: int, name: str, position: int) -> dict[str, Any]:
    return {
        "id": id_,
        "guild_id": server,
        "type": kind,
        "name": name,
        "position": position,
        "flags": 0,
        "parent_id": None,
    }

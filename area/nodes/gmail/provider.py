"""The service itself, and its labels. API: https://developers.google.com/workspace/gmail/api/reference/rest"""

from collections.abc import Mapping
from typing import Any

from area.nodes import sdk
from area.nodes._google import SCOPE, google, listed, mapping, segment

READ = f"{SCOPE}gmail.readonly"
SEND = f"{SCOPE}gmail.send"
COMPOSE = f"{SCOPE}gmail.compose"
MODIFY = f"{SCOPE}gmail.modify"
ME = "/gmail/v1/users/me"

service = google(
    "gmail",
    "Gmail",
    "Reacts to mails, attachments and labels; sends, answers, drafts, labels and marks mails.",
    "https://gmail.googleapis.com",
    "https://developers.google.com/workspace/gmail/api/reference/rest",
    # As the scopes stand beside each method of the reference.
    implies={MODIFY: (READ, COMPOSE), COMPOSE: (SEND,)},
)


async def label_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's labels, its own first."""
    labels = listed(mapping(await ctx.http.get(f"{ME}/labels")), "labels")
    labels = [one for one in labels if one.get("id") and one.get("name")]
    labels.sort(key=lambda one: (one.get("type") == "system", str(one["name"]).casefold()))
    return [sdk.Choice(str(one["id"]), str(one["name"])) for one in labels]


async def fetch(ctx: sdk.Context, message_id: str) -> dict[str, Any]:
    """A mail with its parts. Raises: Gone when it has been deleted."""
    answer = await ctx.http.get(f"{ME}/messages/{segment(message_id)}", params={"format": "full"})
    return mapping(answer, "id", "payload")

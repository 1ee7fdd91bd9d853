"""What a node's module imports: ``from area.nodes import sdk``."""

from area.nodes.sdk.components import Action, Delivery, Reaction
from area.nodes.sdk.context import Context
from area.nodes.sdk.errors import (
    BadSignature,
    ControlFlow,
    Filtered,
    InvalidInput,
    NodeError,
    Park,
    Reconnect,
    Rejected,
    StopRun,
    Throttled,
    Unavailable,
    Unknown,
)
from area.nodes.sdk.models import (
    Choices,
    Condition,
    Identity,
    Inputs,
    NoTemplate,
    Outputs,
    Page,
    Secret,
    Tick,
    marked,
    sample_of,
)
from area.nodes.sdk.responses import map_response, map_transport_error, response_hook, retry_after
from area.nodes.sdk.service import Service
from area.nodes.sdk.webhooks import HmacSha256, Unsigned, Verify, WebhookDelivery

__all__ = [
    "Action",
    "BadSignature",
    "Choices",
    "Condition",
    "Context",
    "ControlFlow",
    "Delivery",
    "Filtered",
    "HmacSha256",
    "Identity",
    "Inputs",
    "InvalidInput",
    "NoTemplate",
    "NodeError",
    "Outputs",
    "Page",
    "Park",
    "Reaction",
    "Reconnect",
    "Rejected",
    "Secret",
    "Service",
    "StopRun",
    "Throttled",
    "Tick",
    "Unavailable",
    "Unknown",
    "Unsigned",
    "Verify",
    "WebhookDelivery",
    "map_response",
    "map_transport_error",
    "marked",
    "response_hook",
    "retry_after",
    "sample_of",
]

"""Stripe: react to payments and subscriptions, create customers and refund. API: https://docs.stripe.com/api"""

from area.nodes.stripe import events, hooks, money, provider, reactions
from area.nodes.stripe.provider import service

__all__ = ["events", "hooks", "money", "provider", "reactions", "service"]

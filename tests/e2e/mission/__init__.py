"""The mission's own example: a Twitch stream goes live, Discord is told, and the admins get a mail."""

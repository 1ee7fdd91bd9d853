"""A browser as far as consent needs one: it opens a page, sends its form, keeps cookies and follows redirects."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import aiohttp


@dataclass
class Form(HTMLParser):
    """The page's form, as the page was served: what would be sent if nobody touched it."""

    action: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What is sent besides, by what the button says."""
    _select: str = ""
    _button: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self._option: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in a field."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given.get("action", "")
        elif tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.fields.append((given["name"], given.get("value", "")))
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option":
            self._option = ""
        elif tag == "button":
            self._button = (given["name"], given["value"])

    def handle_data(self, data: str) -> None:
        """A button's words, or the first of a list's choices, which is the one that is chosen."""
        if self._button:
            self.buttons[data.strip()] = self._button
        elif self._option is not None and self._select:
            self.fields.append((self._select, data))
            self._select = ""

    def handle_endtag(self, tag: str) -> None:
        """A button, or a choice, is over."""
        if tag == "button":
            self._button = None
        elif tag == "option":
            self._option = None


class Browser:
    """One person's; ``http`` keeps the cookies."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def click(self, address: str, button: str) -> str:
        """Open a page, press one of its buttons, and go where that leads; gives the last page."""
        async with self._http.get(address) as page:
            assert page.status == 200, await page.text()
            form = Form()
            form.feed(await page.text())
            target = urljoin(str(page.url), form.action)
        async with self._http.post(target, data=[*form.fields, form.buttons[button]]) as last:
            text = await last.text()
            assert last.status == 200, f"{last.url} said {last.status}: {text}"
            return text

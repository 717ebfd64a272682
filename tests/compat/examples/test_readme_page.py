"""README's page in a real browser, served as README says."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.compat.examples.test_pages import OpenPage, open_page
from tests.compat.test_readme import echo_with_its_page
from tests.conftest import StartServer

__all__ = ["open_page"]


def test_the_page_of_the_readme(open_page: OpenPage, start_server: StartServer, tmp_path: Path) -> None:
    echo_with_its_page(tmp_path)
    page = open_page(start_server("app:app", "asocketio", cwd=tmp_path).url)
    page.get_by_label("Say something").fill("hello")
    page.get_by_label("Say something").press("Enter")
    expect(page.locator("#log li")).to_have_text(["heard hello", "thanks"])

"""The fixtures of the tests in a browser."""

from playwright.sync_api import expect

from tests.browser.browser import browsers

expect.set_options(timeout=30_000)  # ms of patience on a slow machine; nothing waits longer than it has to

__all__ = ["browsers"]

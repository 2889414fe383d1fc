"""The fixtures of the tests in a browser."""

from tests.browser.browser import browsers

__all__ = ["browsers"]

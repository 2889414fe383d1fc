"""The version of the product, kept in this one place."""

__version__ = "0.1.0"

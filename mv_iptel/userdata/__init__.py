"""User data: what phones hand the server to keep, by extension and phone type."""

# The library decides over the store, and the store answers in the library's words. In this order each finds
# the other, whichever a program asks for first.
import mv_iptel.library  # noqa: F401

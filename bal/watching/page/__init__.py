"""The page of `bal watch`: what each part computes, beside the event loop, and how it is drawn."""

from bal.watching.page.serving import serve_folder

__all__ = ["serve_folder"]

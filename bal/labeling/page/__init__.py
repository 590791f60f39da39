"""The page of `bal label`: a desk in the browser, by keys, for one annotator or several at once."""

from bal.labeling.page.serving import serve_desk

__all__ = ["serve_desk"]

"""What the pages share: a server on this machine alone, a token in the link, a look.

    from bal.pages import rewrite, serve, shell, write

    def build():                       # for every tab; parameters with defaults come from the link's query
        with shell("Title"):
            count = write("p", "0 labels", "bal-note", role="status")
            write("button", "More", "bal-button", type="button").on("click", lambda: rewrite(count, "1 label"))

    serve(build, title="Title")        # prints http://127.0.0.1:PORT/?token=... and goes on until Ctrl-C

`write` takes any text as data: no text is read as markup, here or elsewhere on a page (no `ui.html`, no `ui.markdown`,
no attribute whose name begins with a colon). `look.css` has the classes (`bal-card`, `bal-button`, `bal-note`,
`bal-wide`, `bal-unseen` ...) and the colors (`--bal-ink`, `--bal-accent` ...), each readable in light and dark.
NiceGUI (extra `ui`) is imported when a page is first made.
"""

from bal.pages.elements import rewrite, shell, write
from bal.pages.guard import Guard
from bal.pages.pictures import png
from bal.pages.serving import nicegui, serve

__all__ = ["Guard", "nicegui", "png", "rewrite", "serve", "shell", "write"]

"""One self-contained page from a comparison: `page.render(comparison)` and `page.write(path, html)`."""

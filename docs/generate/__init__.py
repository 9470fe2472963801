"""Parts of pages that follow from the code or from committed results; they are written while the pages are read."""

"""The reference's pages, each a function from the code to Markdown."""

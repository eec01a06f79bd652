"""The press: what turns the chapters' text into executed notebooks, records, pages and the book.

The command line is ``python -m dlparadox.press``; the Makefile and the Snakefile call it. Nothing here
computes a result, and nothing here imports torch.
"""

"""Figures, tables and a page from a Rhosweep results database.

    load -> tables -> figures -> page

`load` gets tables from the program `rhosweep`, figures draw tables and know nothing of the
database, `page` puts everything into one file, `cli` is the command line.
"""

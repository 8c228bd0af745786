"""Photos by the million to a table: from files, folders, archives, buckets and tables, by the service's own threads.

In order: `storage` reads local files and remote ones; `plan` finds out what is to be done, `photos` reads it; `answers`
has it labelled and says so in columns, which `tables` writes; `parts` keeps what is done beside the output, and `job`
is all of that together.
"""

"""Writing window by window: what `WriteDistiset` does with rows that have no end.

- `windowing`: which windows can be written, and what they are called.
- `reports`: rows staged per window, with sums by which equal content is recognised.
- `ledger`: what is known of each window, on the result's filesystem.
- `schemas`: one schema for all windows, though later ones may have values that don't fit.
- `planning`: what each pane's staged shards have to become.
- `publishing`: a pane's files and ledger entry become final, then it is committed on the Hub.
"""

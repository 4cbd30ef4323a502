"""What a finished search is shown as: tables and plots, as text, HTML, DataFrame and figures.

Pure functions of a search's scores; neither Jupyter nor the cluster is known here. `ranking` makes
candidates of scores, `parameters` tells their values apart, `series` computes what each plot shows,
`tree` what the plan's picture shows. `page` and `text` write the summary that a notebook keeps,
`charts` and `picture` its SVG; `frame` and `figures` hand the same to pandas and matplotlib, which
are imported by nothing else. Called by the properties of `SearchReport`.
"""

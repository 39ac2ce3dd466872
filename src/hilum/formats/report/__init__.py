"""Reports: what one says (`document`), and how it becomes pages, charts, workbooks and text (`render`).

The libraries that draw (typst, vl-convert) come with the extra `hilum[reports]` and are imported when first needed.
"""

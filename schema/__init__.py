"""Define what Runyard's parts share: tables, named queries, rows, wire types, errors. It imports no other part."""

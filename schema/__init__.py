"""What Runyard's parts agree on: tables, named queries, rows, wire types, errors. It imports no other part."""

"""What would stop a plan on this node, found before anything is started.

plan ─▶ Question ─▶ read_node (the only effects) ─▶ NodeFacts ─┐
  └────────────────────────────────────────────────────────────┴─▶ checks ─▶ findings
reports of several nodes ─▶ compare_reports ─▶ findings
"""

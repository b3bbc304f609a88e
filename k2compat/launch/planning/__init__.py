"""From a request to a plan, and the checks of the plan."""

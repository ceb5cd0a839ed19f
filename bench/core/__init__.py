"""What every other part uses: errors, seeds, selectors, deadlines."""

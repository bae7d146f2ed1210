"""An update with data: the release of the day before, a year of people in it, forth, back and forth again."""

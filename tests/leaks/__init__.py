"""What each public name must not do: leave something behind each time it is used."""

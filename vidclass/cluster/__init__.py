"""Clusters that `ray up` makes: their files checked offline, their start and end made whole."""

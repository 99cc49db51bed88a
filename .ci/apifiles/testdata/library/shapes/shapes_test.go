package shapes

func OnlyInTests() {}

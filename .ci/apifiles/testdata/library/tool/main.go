// Command tool can't be imported.
package main

func Exported() {}

func main() {}

module github.com/tgprovision/tgprovision/integration

go 1.26.0

require github.com/tgprovision/tgprovision v0.0.0

replace github.com/tgprovision/tgprovision => ../

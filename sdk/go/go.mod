module example.com/approved-registries

go 1.26.0

module example.com/sinkattn

go 1.21

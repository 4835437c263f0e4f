package main

import (
	"context"
	"net"
	"strconv"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
	redisstorage "github.com/gofiber/storage/redis/v3"
)

// Fiber with its session middleware as it comes.
func fiberSubjects() []subject {
	const library = "Fiber's session"
	return []subject{
		{library, onFiber, memory, func(context.Context, *servers) (*app, error) {
			return fiberApp(session.Config{}, nothing), nil
		}},
		{library, onFiber, valkeyS, func(_ context.Context, s *servers) (*app, error) {
			host, port, err := net.SplitHostPort(s.valkey)
			if err != nil {
				return nil, err
			}
			n, err := strconv.Atoi(port)
			if err != nil {
				return nil, err
			}
			storage := redisstorage.New(redisstorage.Config{Host: host, Port: n, PoolSize: clients})
			return fiberApp(session.Config{Storage: storage}, func() { _ = storage.Close() }), nil
		}},
	}
}

func fiberApp(cfg session.Config, closed func()) *app {
	f := fiber.New()
	f.Use(session.New(cfg))
	f.Get(pathNothing, func(c fiber.Ctx) error { return answerFiber(c, true) })
	f.Get(pathRead, func(c fiber.Ctx) error {
		user, _ := session.FromContext(c).Get(userKey).(string)
		return answerFiber(c, user == userName)
	})
	f.Get(pathCount, func(c fiber.Ctx) error {
		s := session.FromContext(c)
		s.Set(countKey, number(s.Get(countKey))+1)
		return answerFiber(c, true)
	})
	f.Get(pathLogin, func(c fiber.Ctx) error {
		s := session.FromContext(c)
		if err := s.Regenerate(); err != nil {
			return err
		}
		s.Set(userKey, userName)
		return answerFiber(c, true)
	})
	f.Get(pathMake, func(c fiber.Ctx) error {
		s := session.FromContext(c)
		for key, value := range newValues(c.Query("filler")) {
			s.Set(key, value)
		}
		return answerFiber(c, true)
	})
	f.Get(pathShow, func(c fiber.Ctx) error {
		s := session.FromContext(c)
		user, _ := s.Get(userKey).(string)
		return c.SendString(shown(user, number(s.Get(countKey))))
	})
	return &app{fiber: f.Handler(), close: closed}
}

"""The gateway beside other proxies: who competes, in what, and how it is measured."""

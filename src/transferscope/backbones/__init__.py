"""Backbones: features [N, d] from inputs. docs/adding-a-backbone.md says how to add one."""

"""Backbones: features [N, d] from inputs. docs/how-to/adding-a-backbone.md says how to add one."""

"""The library behind `import vouch`: a company as an object, with frames for notebooks."""

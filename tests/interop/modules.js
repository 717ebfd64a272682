// The packages of package.json, wherever they are installed.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const place = (name) => path.join(process.env.NODE_MODULES, name);

const modules = (name) => require(place(name));

// The text of a file in a package.
const source = (name, file) => fs.readFileSync(path.join(place(name), file), "utf8");

module.exports = { modules, place, source };

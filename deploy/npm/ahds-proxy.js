#!/usr/bin/env node
// Starts the program that this package carries for the platform, and ends as the program ends.
"use strict";

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const platform = `${process.platform}-${process.arch}`;
const folder = path.join(__dirname, "binaries");
const program = path.join(folder, platform, process.platform === "win32" ? "ahds-proxy.exe" : "ahds-proxy");

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

if (!fs.existsSync(program)) {
  const supported = fs.readdirSync(folder).sort().join(", ");
  fail(
    `this package of ahds-proxy has no program for ${platform}, only for ${supported}\n` +
      "  = help: use one of these, or build the program from its source: cargo install --path .",
  );
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });

child.on("error", (error) => {
  // The program exists, so the missing file is the dynamic linker that it names.
  if (error.code === "ENOENT" && process.platform === "linux") {
    fail(
      "this program needs glibc, which this system lacks\n" +
        "  = help: use a distribution with glibc, such as Debian, in place of Alpine Linux",
    );
  }
  fail(`${program} does not start: ${error.message}`);
});

// A terminal sends Ctrl-C to the program, too, and the program takes both for one. On Windows, where
// `kill` would end the program at once, the console is the only sender.
const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
for (const signal of signals) {
  process.on(signal, () => process.platform === "win32" || child.kill(signal));
}

// `npx` and `npm run` start this file below a shell, which dies of SIGTERM and does not forward it. The
// program must not go on without them.
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(timer);
      child.kill("SIGTERM");
    }
  }, 500);
}

child.on("exit", (code, signal) => {
  if (signal === null) {
    process.exit(code);
  }
  for (const name of signals) {
    process.removeAllListeners(name);
  }
  process.kill(process.pid, signal);
});

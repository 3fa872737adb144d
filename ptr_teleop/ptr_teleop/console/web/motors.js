// SPDX-License-Identifier: Apache-2.0
// The motors, and the steps to recover after one has tripped; the motors' states show which steps are done.
import { byId, make, sentence, setChildren, setText } from "./dom.js";

const LEVELS = { ok: ["ok", "ok"], warn: ["warning", "warn"], fault: ["fault", "error"] };
const HOT = 72; // deg C; the arm's smaller motors shut down here

export class Motors {
  #connection;
  #busy = false;
  #needed = false;
  #steps = {};

  constructor(connection) {
    this.#connection = connection;
    const on = (id, request, fields) => byId(id).addEventListener("click", () => this.#ask(request, fields));
    on("reboot-motors", "reboot_motors", {});
    on("torque-on", "torque", { on: true });
    on("recovery-release", "release", {});
    on("torque-off", "torque", { on: false });
    byId("supported").addEventListener("change", () => this.#enable());
    byId("holding").addEventListener("change", () => this.#enable());
  }

  show({ motors, arm }) {
    const [words, level] = motors ? LEVELS[motors.level] : ["no data", "off"];
    setText(byId("motors-state"), words);
    byId("motors-state").dataset.level = level;
    setText(byId("motors-message"), motors ? sentence(motors.message) : "No data from the motors.");
    this.#showTable(motors?.motors ?? []);
    this.#showSteps(motors, arm);
  }

  #showTable(motors) {
    byId("motor-table").hidden = motors.length === 0;
    setChildren(byId("motor-rows"), JSON.stringify(motors), () => motors.map(row));
  }

  #showSteps(motors, arm) {
    const all = motors?.motors ?? [];
    const tripped = all.some((motor) => motor.errors.length > 0);
    const limp = all.some((motor) => !motor.torque);
    const stopped = arm?.mode === "stopped";
    const needed = Boolean(motors) && (tripped || limp || motors.level === "fault");
    if (needed && !this.#needed) byId("supported").checked = false; // ask again each time
    this.#needed = needed;
    byId("recovery").hidden = !needed && !byId("supported").checked;
    const standing = !tripped && !limp;
    this.#steps = { "reboot-motors": tripped, "torque-on": !tripped && limp, "recovery-release": standing && stopped };
    byId("step-reboot").dataset.done = String(!tripped);
    byId("step-torque").dataset.done = String(standing);
    byId("step-release").dataset.done = String(standing && !stopped);
    if (limp) byId("holding").checked = false;
    this.#enable();
  }

  #enable() {
    for (const [id, due] of Object.entries(this.#steps)) {
      byId(id).disabled = this.#busy || !due || !byId("supported").checked;
      byId(id).classList.toggle("primary", due);
    }
    byId("torque-off").disabled = this.#busy || !byId("holding").checked;
  }

  async #ask(request, fields) {
    this.#busy = true;
    this.#enable();
    setText(byId("recovery-message"), "Waiting for the arm.");
    const answer = await this.#connection.ask(request, fields);
    this.#busy = false;
    this.#enable();
    setText(byId("recovery-message"), sentence(answer.text));
    byId("recovery-message").classList.toggle("grave", !answer.done);
  }
}

function row(motor) {
  const cells = [
    make("th", "", motor.name.replaceAll("_", " ")),
    temperature(motor.temperature),
    make("td", "", motor.effort === null ? "–" : String(motor.effort)),
    make("td", "", motor.voltage === null ? "–" : `${motor.voltage.toFixed(1)} V`),
    make("td", "", motor.errors.join(", ") || (motor.torque ? "holds" : "no torque")),
  ];
  cells[0].scope = "row";
  const line = make("tr", motor.errors.length ? "error" : motor.torque ? "" : "warn");
  line.append(...cells);
  return line;
}

function temperature(celsius) {
  const cell = make("td");
  if (celsius === null) return make("td", "", "–");
  const meter = make("meter", "", `${celsius} °C`);
  Object.assign(meter, { min: 20, low: 55, high: 65, max: HOT, optimum: 30, value: celsius });
  cell.append(meter, make("span", "", `${celsius} °C`));
  return cell;
}

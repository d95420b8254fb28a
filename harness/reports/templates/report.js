(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const byId = (id) => document.getElementById(id);
  const charts = [];

  sortTables(all("table.sortable th button"), (head) => head.classList.contains("number"));

  // --- charts --------------------------------------------------------------------------------------------------------
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const PALETTE = ["--run", "--second", "--label", "--post", "--published", "--good", "--bad", "--mark"];
  const HUES = ["#c2410c", "#2563eb", "#0f766e", "#7c3aed", "#b45309", "#be185d", "#4d7c0f", "#0369a1", "#6b7280", "#a16207"];
  const stroke = (i) => (i < PALETTE.length ? () => colour(PALETTE[i]) : () => HUES[i % HUES.length]);
  const width = (element) => Math.max(200, Math.floor(element.clientWidth));

  function axis(values, size, space) {
    return {
      stroke: () => colour("--soft"), font: "11px system-ui, sans-serif", size: size || 46, space: space || 40,
      grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1, size: 4 },
      ...(values ? { values } : {}),
    };
  }

  function show(holder, options, rows) {
    const chart = new uPlot({ width: width(holder), padding: [8, 10, 0, 0], ...options }, rows, holder);
    charts.push({ chart, holder });
    return chart;
  }

  function drop(holder) {
    for (let i = charts.length - 1; i >= 0; i--) {
      if (!holder.contains(charts[i].holder)) continue;
      charts[i].chart.destroy();
      charts.splice(i, 1);
    }
    holder.replaceChildren();
  }

  function titled(holder, text) {
    const box = document.createElement("div"), title = document.createElement("p");
    title.className = "chart-title";
    title.textContent = text;
    box.append(title);
    holder.append(box);
    return box;
  }

  const short = (value) => (value === null || value === undefined ? "-" : Number(value.toPrecision(4)).toString());

  function drawCurves() {
    const holder = byId("curves");
    if (!holder) return;
    for (const curve of data.curves) {
      const box = titled(holder, curve.title);
      const few = curve.x.length < 40;
      show(box, {
        height: 230,
        scales: { x: { time: false, range: (u, a, b) => { const pad = a === b ? 1 : 0.03 * (b - a); return [a - pad, b + pad]; } } },
        axes: [axis((u, at) => at.map((v) => (Number.isInteger(v) ? v : "")), 30), axis((u, at) => at.map(short), 54)],
        series: [{ label: "epoch" }, ...curve.series.map((line, i) => ({
          label: line.name, stroke: stroke(i), width: 1.6, spanGaps: true, points: { show: few, size: 5 },
          value: (u, v) => short(v),
        }))],
      }, [curve.x, ...curve.series.map((line) => line.values)]);
    }
  }

  // --- timelines -----------------------------------------------------------------------------------------------------
  function bytes(text) {
    const raw = atob(text), found = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
    return found.buffer;
  }
  const values = (text) => Array.from(new Int16Array(bytes(text)), (v) => (v === -32768 ? null : v / 1000));
  const seconds = (text) => Array.from(new Int32Array(bytes(text)), (v) => v / 1000);

  // True if a value stands between two gaps, where a line does not show it.
  const hasLone = (row) => row.some((v, i) => v !== null && (row[i - 1] ?? null) === null && (row[i + 1] ?? null) === null);

  const LINES = [["true", "label", "--label", 2.2], ["raw", "prediction", "--run", 1.4], ["post", "post-processed", "--post", 1.2]];
  let shown = 0, closer = null, busy = false;

  function panels() {
    const units = data.timelines.answers.filter((a) => a.kind === "binary");
    const unit = units[byId("unit").selectedIndex] || units[0];
    return data.timelines.answers.filter((a) => a.kind !== "binary" || a === unit);
  }

  function zoom(u) {
    if (busy) return;
    busy = true;
    closer = [u.scales.x.min, u.scales.x.max];
    for (const { chart, holder } of charts) {
      if (chart !== u && byId("timeline").contains(holder)) chart.setScale("x", { min: closer[0], max: closer[1] });
    }
    presence(u);
    if (player && heads.length) follow();
    busy = false;
  }

  function drawTimeline() {
    const holder = byId("timeline"), video = data.timelines.videos[shown];
    if (!holder || !video) return;
    drop(holder);
    closer = null;
    const x = seconds(video.time);
    byId("about").textContent = `${video.frames} frames` + (video.score === null ? "" : `, score ${video.score.toFixed(3)}`);
    for (const answer of panels()) {
      const lines = LINES.filter(([kind]) => video.lines[answer.name] && kind in video.lines[answer.name]);
      const classes = answer.kind === "class";
      const range = answer.kind === "value" ? [answer.low, answer.high] : classes ? [-0.5, answer.classes.length - 0.5] : [-0.05, 1.05];
      const box = titled(holder, answer.name);
      const named = (v) => (classes ? answer.classes[Math.round(v)] ?? "" : short(v));
      const rows = lines.map(([kind]) => values(video.lines[answer.name][kind]));
      const chart = show(box, {
        height: classes ? 60 + 20 * answer.classes.length : 190,
        cursor: { sync: { key: "time" }, drag: { x: true, y: false } },
        scales: { x: { time: false }, y: { range: () => range } },
        axes: [
          axis((u, at) => at.map((v) => `${v} s`), 30, 60),
          { ...axis((u, at) => at.map(named), classes ? 84 : 46), ...(classes ? { splits: () => answer.classes.map((_, i) => i) } : {}) },
        ],
        series: [{ label: "time", value: (u, v) => (v === null ? "-" : `${v.toFixed(2)} s`) }, ...lines.map(([kind, label, hue, wide], i) => ({
          label, stroke: () => colour(hue), width: wide, points: { show: kind === "true" && hasLone(rows[i]), size: 4, fill: () => colour(hue) },
          ...(classes ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}), value: (u, v) => (v === null ? "-" : named(v)),
        }))],
        hooks: { setScale: [(u, key) => { if (key === "x") zoom(u); }] },
      }, [x, ...rows]);
      chart.title = answer.name;
    }
    const branches = Object.keys(video.present);
    if (branches.length) {
      const box = titled(holder, "input branches: frames with data");
      const canvas = document.createElement("canvas");
      canvas.className = "presence";
      canvas.id = "presence";
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", branches.join(", "));
      box.append(canvas);
    }
    const first = charts.find(({ holder: own }) => holder.contains(own));
    if (first) presence(first.chart);
    followable(holder, x);
  }

  // --- a video with its timeline --------------------------------------------------------------------------------------
  const DRAG = 4;  // pixels from which a click counts as dragging over a stretch
  const player = byId("player");
  let heads = [], readings = null;

  function seek(seconds) {
    player.currentTime = data.player.start + Math.max(0, seconds);
    follow();
  }

  function followable(holder, x) {
    if (!player) return;
    heads = charts.filter(({ holder: own }) => holder.contains(own)).map(({ chart }) => {
      const line = document.createElement("div");
      line.className = "playhead";
      chart.over.append(line);
      let pressed = null;
      chart.over.addEventListener("mousedown", (e) => { pressed = e.clientX; });
      chart.over.addEventListener("click", (e) => {
        if (pressed !== null && Math.abs(e.clientX - pressed) > DRAG) return;
        seek(chart.posToVal(e.clientX - chart.over.getBoundingClientRect().left, "x"));
      });
      return { chart, line };
    });
    readings = x;
    follow();
  }

  // Draw the line at the player's time on every chart, and show the predictions there.
  function follow() {
    const now = player.currentTime - data.player.start;
    for (const { chart, line } of heads) {
      const { min, max } = chart.scales.x, at = chart.valToPos(now, "x");
      line.hidden = !(now >= min && now <= max);
      line.style.left = `${at}px`;
    }
    if (!heads.length || !readings.length) return;
    let at = readings.findIndex((seconds) => seconds > now) - 1;
    if (at === -2) at = readings.length - 1;
    const words = heads.map(({ chart }) => {
      const { label, value } = chart.series[1], shown = chart.data[1][Math.max(0, at)];
      return `${chart.title ?? label} ${value(chart, shown)}`;
    });
    byId("now").textContent = `${now.toFixed(2)} s: ${words.join(", ")}`;
  }

  function startPlayer() {
    if (!player) return;
    const run = () => { follow(); if (!player.paused && !player.ended) requestAnimationFrame(run); };
    player.addEventListener("play", run);
    for (const what of ["seeked", "timeupdate", "loadedmetadata"]) player.addEventListener(what, follow);
    player.addEventListener("error", () => { byId("unplayable").hidden = false; });
    if (player.error) byId("unplayable").hidden = false;
    all("[data-seconds]").forEach((b) => b.addEventListener("click", () => {
      seek(Number(b.dataset.seconds));
      byId("timelines").scrollIntoView({ block: "start" });
    }));
  }

  function presence(u) {
    const canvas = byId("presence"), video = data.timelines.videos[shown];
    if (!canvas || !video) return;
    const names = Object.keys(video.present), x = seconds(video.time), row = 18, ratio = devicePixelRatio || 1;
    const wide = width(canvas.parentElement), left = u.bbox.left / ratio, span = u.bbox.width / ratio;
    canvas.width = wide * ratio;
    canvas.height = names.length * row * ratio;
    canvas.style.height = `${names.length * row}px`;
    const pen = canvas.getContext("2d"), from = u.scales.x.min, to = u.scales.x.max;
    pen.scale(ratio, ratio);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    names.forEach((name, i) => {
      const shares = new Uint8Array(bytes(video.present[name]));
      pen.globalAlpha = 1;
      pen.fillStyle = colour("--soft");
      pen.textAlign = "right";
      pen.fillText(name, left - 6, i * row + row / 2, left - 8);
      pen.fillStyle = colour("--shade");
      pen.fillRect(left, i * row + 3, span, row - 6);
      pen.fillStyle = colour("--published");
      for (let k = 0; k < x.length; k++) {
        const next = k + 1 < x.length ? x[k + 1] : x[k] + (k ? x[k] - x[k - 1] : 1);
        const a = Math.max(x[k], from), b = Math.min(next, to);
        if (b <= a || !shares[k]) continue;
        pen.globalAlpha = shares[k] / 100;
        pen.fillRect(left + (span * (a - from)) / (to - from), i * row + 3, (span * (b - a)) / (to - from) + 0.6, row - 6);
      }
    });
  }

  function choose(i, jump) {
    const n = data.timelines.videos.length;
    shown = (i + n) % n;
    byId("video").selectedIndex = shown;
    drawTimeline();
    if (jump) byId("timelines").scrollIntoView({ block: "start" });
  }

  function startTimelines() {
    if (!byId("video") || !data.timelines.videos.length) return;
    const options = data.timelines.videos.map((video) => {
      const score = video.score === null ? "" : ` (${video.score.toFixed(3)})`;
      return new Option(video.name + score);
    });
    byId("video").append(...options);
    const units = data.timelines.answers.filter((a) => a.kind === "binary");
    byId("unit").append(...units.map((a) => new Option(a.name)));
    byId("unit").hidden = units.length < 2;
    byId("video").addEventListener("change", () => choose(byId("video").selectedIndex));
    byId("unit").addEventListener("change", drawTimeline);
    byId("back").addEventListener("click", () => choose(shown - 1));
    byId("next").addEventListener("click", () => choose(shown + 1));
    byId("whole").addEventListener("click", drawTimeline);
    const place = new Map(data.timelines.videos.map((video, i) => [video.name, i]));
    all("[data-video]").forEach((b) => b.addEventListener("click", () => choose(place.get(b.dataset.video) ?? 0, true)));
    choose(0);
  }

  // --- size, scheme, paper -------------------------------------------------------------------------------------------
  function fit() {
    for (const { chart, holder } of charts) {
      const wide = width(holder);
      if (wide !== chart.width) chart.setSize({ width: wide, height: chart.height });
    }
    const first = charts.find(({ holder }) => byId("timeline")?.contains(holder));
    if (first) presence(first.chart);
    if (player) follow();
  }
  function redraw() {
    for (const { chart } of charts) chart.redraw(false, true);
    fit();
  }

  drawCurves();
  startTimelines();
  startPlayer();
  new ResizeObserver(fit).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("print").addEventListener("change", redraw);
})();

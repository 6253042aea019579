// Tells the numbers under the pointer; loads a running run's page again; says how old it is.
for (const figure of document.querySelectorAll("figure.chart")) {
  const data = figure.querySelector("script"), svg = figure.querySelector("svg");
  if (!data) continue;
  const [curves, last] = [JSON.parse(data.textContent), Number(svg.dataset.last)];
  const spans = [...figure.querySelectorAll("li span")], usual = spans.map(span => span.innerHTML);
  const pointer = svg.querySelector(".pointer"), view = svg.viewBox.baseVal;
  const left = 56, right = 12; // as in svg.py
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * view.width;
    const x = Math.min(1, Math.max(0, (at - left) / (view.width - left - right))) * last;
    curves.forEach(([xs, ys], i) => {
      let best = 0;
      xs.forEach((value, k) => { if (Math.abs(value - x) < Math.abs(xs[best] - x)) best = k; });
      spans[i].textContent = `${ys[best].toLocaleString("en")} at ${xs[best].toLocaleString("en")}`;
    });
    const place = left + (last ? x / last : 0) * (view.width - left - right);
    pointer.setAttribute("x1", place);
    pointer.setAttribute("x2", place);
    pointer.style.visibility = "visible";
  });
  svg.addEventListener("pointerleave", () => {
    spans.forEach((span, i) => { span.innerHTML = usual[i]; });
    pointer.style.visibility = "hidden";
  });
}
if ("again" in document.body.dataset) {
  const time = document.querySelector("time"), minutes = Math.round((Date.now() - Date.parse(time.dateTime)) / 60000);
  if (minutes > 0) time.textContent = `${minutes} minutes ago`;
  setTimeout(() => location.reload(), 30000);
}

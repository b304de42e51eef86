// The "GAS" pages follow Airflow's theme, and their links to other pages lead out of Airflow's frame.

const chosen = localStorage.getItem("theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;

if (window.parent !== window) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-leaves]");
    if (!link) return;
    event.preventDefault();
    // The frame may not leave by itself; Airflow's page, of the same origin, may.
    const outer = window.parent.document.createElement("a");
    outer.href = link.href;
    outer.target = "_blank";
    outer.rel = "noopener";
    outer.click();
  });
}

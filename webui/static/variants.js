// Pasting variants: say that it is being worked on, and go to the answer.

const form = document.querySelector(".paste");

form?.addEventListener("submit", () => {
  form.querySelector("[role=status]").textContent = "Annotating";
  // A disabled button would not be sent: it is disabled once the form is on its way.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
});

// Back to this page from another: the browser shows it as it was left.
addEventListener("pageshow", () => {
  form?.querySelectorAll("button").forEach((button) => (button.disabled = false));
});

document.querySelector("#result")?.focus();

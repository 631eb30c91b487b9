import "@preact/signals";
import { render } from "preact";
import { App } from "./app";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/markdown.css";
import "./styles/chat.css";
import "./styles/rooms.css";
import { showTheme } from "./ui/theme";

showTheme();
render(<App />, document.getElementById("page")!);
